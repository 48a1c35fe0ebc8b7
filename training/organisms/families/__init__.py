"""One file a family of skills: each a function that makes a conversation out of scenes' facts."""
