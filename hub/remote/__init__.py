"""Remote sessions on machines: begun, used, ended."""
