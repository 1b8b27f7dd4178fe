package org.apache.beam.runners.fnexecution.control;

import java.lang.reflect.Field;
import java.util.Collections;
import java.util.List;
import org.apache.beam.model.fnexecution.v1.BeamFnApi.DelayedBundleApplication;
import org.apache.beam.model.fnexecution.v1.BeamFnApi.ProcessBundleResponse;
import org.apache.beam.runners.core.StateInternalsFactory;
import org.apache.beam.runners.core.StateNamespace;
import org.apache.beam.runners.core.StateNamespaces;
import org.apache.beam.runners.core.StateTags;
import org.apache.beam.runners.core.TimerInternalsFactory;
import org.apache.beam.runners.core.construction.SerializablePipelineOptions;
import org.apache.beam.runners.flink.FlinkPipelineOptions;
import org.apache.beam.sdk.coders.Coder;
import org.apache.beam.sdk.coders.CoderException;
import org.apache.beam.sdk.state.TimeDomain;
import org.apache.beam.sdk.transforms.windowing.BoundedWindow;
import org.apache.beam.sdk.util.CoderUtils;
import org.apache.beam.sdk.util.WindowedValue;
import org.joda.time.Instant;

/**
 * Stands in for Beam's class of this name, whose bug apache/beam#27648 was not mended before 2.76:
 * it keeps what a splittable DoFn deferred in a state of a new name each time, so checkpoints grow
 * forever. Here the names repeat. State is kept for each element, and a read of an element
 * defers one rest, so no name is in use when its turn comes again.
 *
 * <p>Beam's class also makes a drain endless where a source is: Flink has its operators finish
 * what they have, and an endless read always has a rest. Here a drained job drops it.
 */
public class BundleCheckpointHandlers {

  private BundleCheckpointHandlers() {}

  /** Keeps each rest of an element in state, with a timer at which the runner goes on with it. */
  public static class StateAndTimerBundleCheckpointHandler<T> implements BundleCheckpointHandler {
    public static final String SDF_PREFIX = "sdf_checkpoint";
    private static final int TURNS = 8;
    private static final String OPERATOR =
        "org.apache.beam.runners.flink.translation.wrappers.streaming.ExecutableStageDoFnOperator";

    private final TimerInternalsFactory<T> timers;
    private final StateInternalsFactory<T> states;
    private final Coder<WindowedValue<T>> restCoder;
    private final Coder<BoundedWindow> windowCoder;
    private int turn;

    @SuppressWarnings({"rawtypes", "unchecked"})
    public StateAndTimerBundleCheckpointHandler(
        TimerInternalsFactory<T> timers,
        StateInternalsFactory<T> states,
        Coder<WindowedValue<T>> restCoder,
        Coder windowCoder) {
      this.timers = timers;
      this.states = states;
      this.restCoder = restCoder;
      this.windowCoder = windowCoder;
    }

    /** Whether a timer is one that was set here. */
    public static boolean isSdfTimer(String timerId) {
      return timerId.startsWith(SDF_PREFIX);
    }

    @Override
    public void onCheckpoint(ProcessBundleResponse response) {
      if (isFlushed() && readsWithoutEnd()) {
        return;
      }
      turn = (turn + 1) % TURNS;
      List<DelayedBundleApplication> rests = response.getResidualRootsList();
      for (int index = 0; index < rests.size(); index++) {
        if (rests.get(index).hasApplication()) {
          keep(rests.get(index), SDF_PREFIX + ":" + turn + ":" + index);
        }
      }
    }

    /** Whether the operator finishes: its input has ended, or the job is drained. */
    private static boolean isFlushed() {
      return StackWalker.getInstance()
          .walk(frames -> frames.anyMatch(frame -> frame.getMethodName().equals("flushData")));
    }

    /**
     * Whether the job's sources do not end by themselves, so that only a drain ends them. Beam sets
     * the time after which they end to this value if they never do. Nothing but the operator has
     * the options, and it does not say.
     */
    private boolean readsWithoutEnd() {
      try {
        Object operator = valueOf(timers.getClass(), "this$0", timers);
        Class<?> stage = Class.forName(OPERATOR, false, timers.getClass().getClassLoader());
        var options = (SerializablePipelineOptions) valueOf(stage, "pipelineOptions", operator);
        return options.get().as(FlinkPipelineOptions.class).getShutdownSourcesAfterIdleMs()
            == Long.MAX_VALUE;
      } catch (ReflectiveOperationException e) {
        throw new IllegalStateException("this class does not fit its Beam", e);
      }
    }

    private static Object valueOf(Class<?> owner, String name, Object of)
        throws ReflectiveOperationException {
      Field field = owner.getDeclaredField(name);
      field.setAccessible(true);
      return field.get(of);
    }

    private void keep(DelayedBundleApplication rest, String name) {
      WindowedValue<T> value;
      try {
        byte[] encoded = rest.getApplication().getElement().toByteArray();
        value = CoderUtils.decodeFromByteArray(restCoder, encoded);
      } catch (CoderException e) {
        throw new IllegalStateException("cannot decode what was deferred", e);
      }
      var delay = rest.getRequestedTimeDelay();
      Instant due = Instant.now().plus(delay.getSeconds() * 1000 + delay.getNanos() / 1_000_000);
      Instant hold =
          rest.getApplication().getOutputWatermarksMap().values().stream()
              .map(watermark -> Instant.ofEpochMilli(watermark.getSeconds() * 1000))
              .min(Instant::compareTo)
              .orElse(BoundedWindow.TIMESTAMP_MIN_VALUE);
      for (BoundedWindow window : value.getWindows()) {
        StateNamespace namespace = StateNamespaces.window(windowCoder, window);
        timers
            .timerInternalsForKey(value.getValue())
            .setTimer(namespace, name, "", due, hold, TimeDomain.PROCESSING_TIME);
        states
            .stateInternalsForKey(value.getValue())
            .state(namespace, StateTags.value(name, restCoder))
            .write(
                WindowedValue.of(
                    value.getValue(),
                    value.getTimestamp(),
                    Collections.singletonList(window),
                    value.getPane()));
      }
    }
  }
}
