"""What a team would use in headrace's place, each written as a good engineer would write it."""
