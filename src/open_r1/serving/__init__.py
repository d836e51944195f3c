"""A trained model that can be used: `open-r1 serve` and `open-r1 chat`.

`server` starts the model's own (`backends`) and the `gateway`, whose `requests` become `exchange`s; `client` is the chat.
"""
