"""Work that takes longer than a call: begun here, seen and cancelled from any replica, undone when it ends early."""
