package flursbeam;

import java.util.Collection;
import org.apache.flink.contrib.streaming.state.RocksDBOptionsFactory;
import org.rocksdb.ColumnFamilyOptions;
import org.rocksdb.DBOptions;

/**
 * Starts RocksDB's manifest, the log of its files, anew at 64 KiB instead of 1 GiB.
 *
 * <p>It grows with each checkpoint and is part of each incremental one, so without this the size
 * of checkpoints follows their number and not what is in state.
 */
public class SmallManifest implements RocksDBOptionsFactory {
  private static final long serialVersionUID = 1;
  private static final long BYTES = 64 << 10;

  @Override
  public DBOptions createDBOptions(DBOptions current, Collection<AutoCloseable> handlesToClose) {
    return current.setMaxManifestFileSize(BYTES);
  }

  @Override
  public ColumnFamilyOptions createColumnOptions(
      ColumnFamilyOptions current, Collection<AutoCloseable> handlesToClose) {
    return current;
  }
}
