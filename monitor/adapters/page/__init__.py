"""The files of the live page, as they are served under /ui/. No build step: what is here is what the browser reads."""
