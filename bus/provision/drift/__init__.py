"""What is otherwise than provisioning would make it: looked at, never changed."""
