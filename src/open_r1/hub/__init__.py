"""Models and data sets as the Hub has them: model folders, weights, cards, and the push.

    from open_r1.hub import publish
    publish(Path("runs/tiny/grpo"), "me/my-model", tags=["math"], dry_run=True).card

folders says what a model folder is, weights whether its weights are whole, lineage where a model came from and what was
measured, card how that is written down, push how a folder reaches the Hub.
"""

from open_r1.hub.publish import Publication, publish

__all__ = ["Publication", "publish"]
