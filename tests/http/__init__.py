"""What HTTP/1.1 (RFC 9110, RFC 9112) asks of our server, asked of a running one."""
