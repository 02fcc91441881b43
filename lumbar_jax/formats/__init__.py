"""What a file is: tables and headers, whatever program wrote them."""
