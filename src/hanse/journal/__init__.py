"""Facts, recorded before anything is done about them."""
