"""The time zone of machines: reported, asked for, shown."""
