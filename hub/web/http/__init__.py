"""Requests and answers: bodies, problems, headers, kinds. Knows no caller and no subject."""
