"""What Nightshift is compared with, each written as its own users would."""
