"""The client: a feed that reconnects, resumes and can prove what was lost."""
