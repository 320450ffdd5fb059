"""Where data sets of correspondences keep images and points, a file per layout."""
