"""Statuses decided: who may declare which, and what then holds. Values in, Changes out."""
