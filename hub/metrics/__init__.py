"""The samples of machines: uploaded by REST, read as history."""
