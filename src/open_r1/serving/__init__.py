"""A trained model that can be used: `open-r1 serve` and `open-r1 chat`.

backends     the command that starts vLLM's or transformers' server
child        a server as a process: started, waited for, stopped
gateway      what clients talk to: the routes, keys, limits, errors in OpenAI's form
exchange     a request passed on to the model's server, thinking separated from the answer
client       a conversation with any OpenAI-compatible server
requests     what a request may contain
screen       a chat as it is shown
"""
