"""What a learner can see of the mesh and ask of it: the picture of its traffic, requests that are really sent, their
way hop by hop, and who reaches whom. Headless: screens and commands draw it."""
