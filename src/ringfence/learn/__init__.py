"""From what is known of an application to policies that allow exactly that."""
