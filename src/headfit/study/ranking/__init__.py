"""Ranks backbones: which suits these images best?"""
