"""What recipes have in common. Look here before writing a helper into a recipe.

arms      numbers keyed by (arm, what), and the text under which they are recorded
scores    what the numbers of figures can be at all
points    the ring and the grid of Gaussians, and what a sampler of them is scored by
pictures  the labeled pictures, split for training and testing
fitting   training: `fit`, and `fit_kept`, which resumes after a kill
judging   the classifier that judges generated pictures
dcgans    one DCGAN on pictures with its judge, as chapters 06 and 10 train it
verdicts  what a verdict may conclude from summaries: `separated`, `order`, `sign`, `span`
drawing   looks of arms, points and curves over seeds, sheets of pictures
diagrams  pictures without a run: boxes, arrows, blocks
"""
