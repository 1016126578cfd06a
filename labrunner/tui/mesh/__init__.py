"""The picture of the mesh as characters: placing, wiring, drawing. Pure: no widgets, no clock."""
