"""Code that all SQLite files and all DynamoDB tables share."""
