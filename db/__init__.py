"""The database: its tables, its migrations, and the only SQL of the product. Imports nothing of ours."""
