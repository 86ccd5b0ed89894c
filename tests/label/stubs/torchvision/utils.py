"""The names that MONAI Label imports for its pathology app; nothing calls them here."""

make_grid = None
save_image = None
