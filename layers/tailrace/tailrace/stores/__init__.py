"""What every SQLite file and every DynamoDB table here has in common."""
