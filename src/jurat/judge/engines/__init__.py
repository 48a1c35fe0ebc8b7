"""The steps of a run as data that other processes take and give back, and the workers of Ray that do."""
