"""From bytes to columns, and what is decided about records that are not."""
