"""Families of skills, a file each; each skill is a function that makes a conversation from scenes' facts."""
