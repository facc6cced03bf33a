"""Sentences for people in English and Bahasa Indonesia, and which of the two a reader wants. Standard library only."""
