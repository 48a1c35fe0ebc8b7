"""What some defenses are fitted from, and the files that are fitted: `jurat defense fit`."""
