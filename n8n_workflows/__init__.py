"""The other half of the product: versioned workflow JSON. Knows no code of ours."""
