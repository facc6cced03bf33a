"""Remote sessions decided: who may begin one, how it goes on and ends. Values in, Changes out."""
