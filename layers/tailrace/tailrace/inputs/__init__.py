"""What a user sent: messages decoded into text, data and files."""
