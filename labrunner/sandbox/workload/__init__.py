"""What runs "in" a pod: the images that labs use and the closed set of programs that exec may start."""
