"""Experiments of chapter 14: all of them have formulas, and lie in alpha_gan_exact."""

from gentools.recipes import alpha_gan_exact

RECIPES = dict(alpha_gan_exact.RECIPES)
