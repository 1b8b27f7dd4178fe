package org.apache.beam.runners.fnexecution.environment;

import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.beam.model.fnexecution.v1.BeamFnApi.StartWorkerRequest;
import org.apache.beam.model.fnexecution.v1.BeamFnApi.StopWorkerRequest;
import org.apache.beam.model.fnexecution.v1.BeamFnExternalWorkerPoolGrpc;
import org.apache.beam.model.pipeline.v1.RunnerApi.Environment;
import org.apache.beam.model.pipeline.v1.RunnerApi.ExternalPayload;
import org.apache.beam.runners.fnexecution.artifact.ArtifactRetrievalService;
import org.apache.beam.runners.fnexecution.control.ControlClientPool;
import org.apache.beam.runners.fnexecution.control.FnApiControlClientPoolService;
import org.apache.beam.runners.fnexecution.control.InstructionRequestHandler;
import org.apache.beam.runners.fnexecution.logging.GrpcLoggingService;
import org.apache.beam.runners.fnexecution.provisioning.StaticGrpcProvisionService;
import org.apache.beam.sdk.fn.IdGenerator;
import org.apache.beam.sdk.fn.channel.ManagedChannelFactory;
import org.apache.beam.sdk.fn.server.GrpcFnServer;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.ConnectivityState;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.ManagedChannel;

/**
 * Stands in for Beam's class of this name, which waits forever for a worker whose pool has died
 * before the worker connected: the job hangs, and no timeout of Flink's ends that. Here it fails,
 * so Flink restarts the job and asks the next pool. A worker that dies while its pool lives is the
 * pool's to start again (flurs-beam-worker-pool does).
 */
public class ExternalEnvironmentFactory implements EnvironmentFactory {
  private static final Duration LOOK = Duration.ofSeconds(2);

  private final StartWorkerRequest endpoints;
  private final ControlClientPool.Source workers;

  private ExternalEnvironmentFactory(
      StartWorkerRequest endpoints, ControlClientPool.Source workers) {
    this.endpoints = endpoints;
    this.workers = workers;
  }

  @Override
  public RemoteEnvironment createEnvironment(Environment environment, String workerId)
      throws Exception {
    ExternalPayload pool = ExternalPayload.parseFrom(environment.getPayload());
    StartWorkerRequest request =
        endpoints.toBuilder().setWorkerId(workerId).putAllParams(pool.getParamsMap()).build();
    ManagedChannel channel =
        ManagedChannelFactory.createDefault().forDescriptor(pool.getEndpoint());
    try {
      var answer = BeamFnExternalWorkerPoolGrpc.newBlockingStub(channel).startWorker(request);
      if (!answer.getError().isEmpty()) {
        throw new IllegalStateException(answer.getError());
      }
      InstructionRequestHandler worker = await(workerId, channel, pool.getEndpoint().getUrl());
      return new PooledWorker(environment, workerId, worker, channel);
    } catch (Throwable e) {
      channel.shutdownNow();
      throw e;
    }
  }

  private InstructionRequestHandler await(String workerId, ManagedChannel channel, String pool)
      throws Exception {
    while (true) {
      try {
        return workers.take(workerId, LOOK);
      } catch (TimeoutException e) {
        // A channel does not connect again unless it is asked to.
        if (channel.getState(false) != ConnectivityState.READY) {
          throw new IllegalStateException(
              "the worker pool at " + pool + " is gone; it was to start worker " + workerId, e);
        }
      }
    }
  }

  private static class PooledWorker implements RemoteEnvironment {
    private final Environment environment;
    private final String id;
    private final InstructionRequestHandler worker;
    private final ManagedChannel pool;

    PooledWorker(
        Environment environment, String id, InstructionRequestHandler worker, ManagedChannel pool) {
      this.environment = environment;
      this.id = id;
      this.worker = worker;
      this.pool = pool;
    }

    @Override
    public Environment getEnvironment() {
      return environment;
    }

    @Override
    public InstructionRequestHandler getInstructionRequestHandler() {
      return worker;
    }

    @Override
    public void close() throws Exception {
      try {
        worker.close();
        var request = StopWorkerRequest.newBuilder().setWorkerId(id).build();
        var answer = BeamFnExternalWorkerPoolGrpc.newBlockingStub(pool).stopWorker(request);
        if (!answer.getError().isEmpty()) {
          throw new IllegalStateException(answer.getError());
        }
      } finally {
        pool.shutdown();
        pool.awaitTermination(10, TimeUnit.SECONDS);
        pool.shutdownNow();
      }
    }
  }

  /** What Beam's job bundle factory makes one with. */
  public static class Provider implements EnvironmentFactory.Provider {
    @Override
    public EnvironmentFactory createEnvironmentFactory(
        GrpcFnServer<FnApiControlClientPoolService> control,
        GrpcFnServer<GrpcLoggingService> logging,
        GrpcFnServer<ArtifactRetrievalService> artifacts,
        GrpcFnServer<StaticGrpcProvisionService> provisioning,
        ControlClientPool workers,
        IdGenerator ids) {
      StartWorkerRequest endpoints =
          StartWorkerRequest.newBuilder()
              .setControlEndpoint(control.getApiServiceDescriptor())
              .setLoggingEndpoint(logging.getApiServiceDescriptor())
              .setArtifactEndpoint(artifacts.getApiServiceDescriptor())
              .setProvisionEndpoint(provisioning.getApiServiceDescriptor())
              .build();
      return new ExternalEnvironmentFactory(endpoints, workers.getSource());
    }
  }
}
