"""The keys of encryption at rest: master keys (``data.user_key``) and the data keys of stores (``data.data_key``)."""
