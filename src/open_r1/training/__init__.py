"""Training: models and tokenizers, SFT and GRPO through TRL's trainers, checkpoints that resume bit for bit.

Imports torch, transformers and TRL; nothing outside this area and the in-process generators does.
"""
