"""Who brings machines that are rented, and sends them away: one file for each kind of provider."""
