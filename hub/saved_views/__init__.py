"""Views of the Machines page that people keep by a name."""
