"""The Machines page, the Overview of one machine, and the page of its key."""
