"""From interactions and a number of bytes to a table file and a page about it."""
