"""Settings decided: writes checked, reports read. Values in, Changes out."""
