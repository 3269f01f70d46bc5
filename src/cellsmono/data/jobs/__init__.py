"""Jobs on behalf of users, and the recycle bins."""
