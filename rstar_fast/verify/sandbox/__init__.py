"""What confines the processes that run untrusted programs: the kernel's own means, as many as the machine permits."""
