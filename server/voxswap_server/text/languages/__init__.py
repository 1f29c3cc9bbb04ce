"""Languages but English and Mandarin: what their numbers, dates, money and units are said as."""
