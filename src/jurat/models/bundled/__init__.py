"""The models that ship with jurat, which know scenes of pictograms only."""
