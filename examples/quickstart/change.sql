-- What happens to a source between two resyncs.
ALTER TABLE customers ADD COLUMN newsletter BOOLEAN NOT NULL DEFAULT FALSE AFTER country;
UPDATE customers SET newsletter = TRUE WHERE id % 3 = 0;
ALTER TABLE orders MODIFY COLUMN total DECIMAL(14, 4) NOT NULL;
DELETE FROM orders WHERE id IN (101, 102, 103);
INSERT INTO orders VALUES (40001, 42, 'new', 19.9900, '2026-01-01 12:00:00.125');
